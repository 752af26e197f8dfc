//! stub: modules
