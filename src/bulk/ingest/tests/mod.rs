mod close;
mod jobs;
mod lost;
mod multipart;
mod patience;
mod results;
