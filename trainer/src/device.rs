//! What computes: the engine on the processor, or candle's operators on a GPU. A configuration names it.
//!
//! A device is opened once per training or scorer; weights, images and results go to it and come back at the borders of
//! a pass. Whoever reads them (methods, reports, checkpoints) always finds them on the processor.

use candle_core::Device;

use crate::{Error, Result};

/// A device as a configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// An Apple GPU by its number.
    Metal(usize),
}

impl DeviceName {
    /// From `cpu`, `cuda:N` or `metal:N`.
    pub fn parse(name: &str) -> Result<Self> {
        let number = |text: &str| text.parse().ok();
        let parsed = match name.split_once(':') {
            None if name == "cpu" => Some(Self::Cpu),
            Some(("cuda", text)) => number(text).map(Self::Cuda),
            Some(("metal", text)) => number(text).map(Self::Metal),
            _ => None,
        };
        let valid = "`cpu`, `cuda:N` (such as `cuda:0`) or `metal:N`".to_owned();
        parsed.ok_or_else(|| Error::Setting { key: "device", value: format!("`{name}`"), valid })
    }
}

/// What computes a network's body, opened.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The engine's kernels, on the processor.
    Engine,
    /// candle's operators on this device (its own CPU too, which is slow and serves comparison).
    Candle(Device),
}

impl Backend {
    /// The device of that name.
    ///
    /// # Errors
    /// A name of another form, a device that is not there, or one that needs a cargo feature this program lacks.
    pub fn open(name: &str) -> Result<Self> {
        let (built, feature, device) = match DeviceName::parse(name)? {
            DeviceName::Cpu => return Ok(Self::Engine),
            DeviceName::Cuda(number) => (candle_core::utils::cuda_is_available(), "cuda", Device::new_cuda(number)),
            DeviceName::Metal(number) => (candle_core::utils::metal_is_available(), "metal", Device::new_metal(number)),
        };
        let problem = |error: candle_core::Error| match built {
            true => format!("there is no such device, or its driver does not answer ({error})"),
            false => format!("this program was built without it; build with `--features {feature}`"),
        };
        device.map(Self::Candle).map_err(|error| Error::NoDevice { device: name.to_owned(), problem: problem(error) })
    }

    /// Where its tensors lie.
    pub(crate) fn device(&self) -> &Device {
        match self {
            Self::Engine => &Device::Cpu,
            Self::Candle(device) => device,
        }
    }
}
