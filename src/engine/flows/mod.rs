//! What takes its course through several rooms. Each of these methods says who is told what, in which order, and decides
//! nothing that a room could decide.

mod conduct;
mod connections;
