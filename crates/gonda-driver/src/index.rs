//! stub: index
