//! What takes more than one room, a family in each file: which room decides what, in which order, and what of it the others
//! are told.

mod announcements;
mod catching_up;
mod changes;
mod conduct;
mod connections;
mod listing;
mod reads;
mod saving;
mod searches;

pub(crate) use saving::Rows;
