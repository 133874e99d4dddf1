//! What the browser shows at the end of a login.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Sends the browser a page of a title and a sentence, and closes the connection.
pub(super) async fn answer(mut stream: TcpStream, status: &str, title: &str, sentence: &str) {
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\
         <style>body{{font:1.1rem system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}\
         </style></head><body><h1>{0}</h1><p>{1}</p></body></html>\n",
        escaped(title),
        escaped(sentence)
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    // A browser that went away misses a page, and nothing else.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}
