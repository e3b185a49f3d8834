//! The record: what was asked, decided and done, in an order that can be verified.
