//! How much of the machine the scripts of a job may take.

/// What a job may take of the machine, so that a script that has gone wild doesn't take the machine with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many processes and threads the scripts of a job may have at once. It holds in namespaces: for who isn't root
    /// always, for root from Linux 6.14.
    pub processes: u32,
    /// How many bytes of memory the processes of a job's script may have together, where that is limited. It holds in
    /// namespaces, where processes are looked at twice a second.
    pub memory: Option<u64>,
    /// How many bytes of the cache's disk a job leaves free; of a disk that is fuller than that already, half of what it
    /// found. 0 switches this off.
    pub free_disk: u64,
}

impl Default for Limits {
    /// Processes for a large Go build on this machine, which starts some compilers for each processor, with a dozen threads
    /// each; no limit of memory; and 1 GiB.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processes = 4096_usize.saturating_add(processors.saturating_mul(256));
        Self { processes: u32::try_from(processes).unwrap_or(u32::MAX), memory: None, free_disk: 1 << 30 }
    }
}
