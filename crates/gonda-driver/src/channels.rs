//! stub: channels
