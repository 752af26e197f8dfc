//! stub: bootstrap
