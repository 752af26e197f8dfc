//! stub: testing
