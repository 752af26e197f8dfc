//! stub: isolation
