//! The trainer through its public interface: numbers against PyTorch's and PIL's, invariants, and whole rounds.

mod calibration;
mod charts;
mod config;
mod device;
mod engine;
mod failure;
mod grey;
mod layers;
mod margins;
mod methods;
mod metrics;
mod operators;
mod optimiser;
mod projection;
mod reference;
mod round;
mod scoring;
mod steps;
mod synthetic;
mod tensorboard;
mod torchvision;
mod views;
mod warm_start;
mod weights;
