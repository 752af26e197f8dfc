//! stub: stage
