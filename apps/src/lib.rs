//! Applications: the API clients that may ask for images, and for how many pixels a day.

#![forbid(unsafe_code)]
