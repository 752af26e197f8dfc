//! stub: source
