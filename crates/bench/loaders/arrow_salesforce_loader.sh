# The command line loads a CSV file; a run that was killed goes on. Its rejected records are handed over.
program=$1
export SF_INSTANCE_URL="$BENCH_INSTANCE_URL" SF_ACCESS_TOKEN="$BENCH_ACCESS_TOKEN"
runs=$BENCH_FOLDER/runs
case $BENCH_OPERATION in
  upsert) operation="--upsert=$BENCH_EXTERNAL_ID" ;;
  *) operation=--$BENCH_OPERATION ;;
esac
if [ -n "$(ls "$runs/index" 2>/dev/null)" ]; then
  "$program" resume last --run-dir "$runs" --yes
else
  "$program" load "$BENCH_CSV" --object "$BENCH_OBJECT" "$operation" --run-dir "$runs" --yes --no-receipts
fi
code=$?
cp "$runs"/*/rejects/* "$BENCH_REJECTS/" 2>/dev/null
# 3: all is loaded but for rejected records.
[ $code -eq 3 ] && code=0
exit $code
