//! What touches several rooms: sequences in which each room does its part.

mod changes;
