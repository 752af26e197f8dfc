//! stub: process
