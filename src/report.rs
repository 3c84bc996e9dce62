//! L2: what people and programs read: plans, problems, tables and errors as text and as data. Nothing here was ever cleartext.

pub mod advice;
pub mod answer;
pub mod comment;
pub mod differences;
pub mod failure;
pub mod plan;
pub mod problems;
pub mod style;
pub mod table;
