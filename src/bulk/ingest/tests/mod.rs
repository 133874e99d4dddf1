mod jobs;
mod multipart;
mod results;
