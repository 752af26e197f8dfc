//! stub: script
