//! Cells -> size-bounded chunks, one job each.
