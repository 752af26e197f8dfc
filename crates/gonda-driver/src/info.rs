//! stub: info
