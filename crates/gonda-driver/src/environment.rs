//! stub: environment
