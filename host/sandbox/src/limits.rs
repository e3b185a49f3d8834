//! How much one tool call may use: defaults, ceilings, and one word per limit that says what was too much and what to do.

use std::{fmt, time::Duration};

use crate::manifest::LimitRequest;

const MIB: u64 = 1024 * 1024;

/// What one tool call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes, summed over all memories.
    pub memory: u64,
    /// Time on the processor, the broker's left out.
    pub cpu: Duration,
    /// Time on the clock, host calls included.
    pub wall: Duration,
    /// Calls to the host.
    pub host_calls: u32,
    /// Bytes that one call or the answer may carry from guest to host.
    pub hostcall_fuel: u64,
    /// Bytes that calls may carry out of the sandbox.
    pub egress: u64,
    /// Bytes that the result of one call may bring in.
    pub result: u64,
    /// Bytes of the tool's answer.
    pub output: u64,
    /// Lines of log.
    pub log_lines: u32,
    /// Bytes of log.
    pub log_bytes: u64,
    /// Core instances.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Table elements, summed over all tables.
    pub table_elements: u64,
    /// Handles that are open at the same time.
    pub handles: u32,
}

impl Limits {
    /// What holds if nobody says anything.
    pub const DEFAULT: Self = Self {
        memory: 64 * MIB,
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(30),
        host_calls: 500,
        hostcall_fuel: 4 * MIB,
        egress: 256 * 1024,
        result: MIB,
        output: 64 * 1024,
        log_lines: 200,
        log_bytes: 32 * 1024,
        instances: 64,
        memories: 8,
        tables: 64,
        table_elements: 20_000,
        handles: 256,
    };

    /// What nobody can exceed.
    pub const CEILING: Self = Self { memory: 256 * MIB, cpu: Duration::from_secs(10), wall: Duration::from_secs(120), ..Self::DEFAULT };

    /// What a skill gets: its request, or else the default, under the host's ceilings and every one of `caps` (the agent's, the platform's).
    pub fn granted(request: Option<&LimitRequest>, caps: &[Self]) -> Self {
        let LimitRequest { memory_bytes, cpu_millis, wall_millis, host_calls, egress_bytes, result_bytes, output_bytes } =
            request.copied().unwrap_or_default();
        let wish = Self {
            memory: memory_bytes.unwrap_or(Self::DEFAULT.memory),
            cpu: cpu_millis.map_or(Self::DEFAULT.cpu, Duration::from_millis),
            wall: wall_millis.map_or(Self::DEFAULT.wall, Duration::from_millis),
            host_calls: host_calls.map_or(Self::DEFAULT.host_calls, |calls| u32::try_from(calls).unwrap_or(u32::MAX)),
            egress: egress_bytes.unwrap_or(Self::DEFAULT.egress),
            result: result_bytes.unwrap_or(Self::DEFAULT.result),
            output: output_bytes.unwrap_or(Self::DEFAULT.output),
            ..Self::DEFAULT
        };
        caps.iter().fold(wish.min(&Self::CEILING), |limits, cap| limits.min(cap))
    }

    /// The smaller of each.
    pub fn min(&self, other: &Self) -> Self {
        Self {
            memory: self.memory.min(other.memory),
            cpu: self.cpu.min(other.cpu),
            wall: self.wall.min(other.wall),
            host_calls: self.host_calls.min(other.host_calls),
            hostcall_fuel: self.hostcall_fuel.min(other.hostcall_fuel),
            egress: self.egress.min(other.egress),
            result: self.result.min(other.result),
            output: self.output.min(other.output),
            log_lines: self.log_lines.min(other.log_lines),
            log_bytes: self.log_bytes.min(other.log_bytes),
            instances: self.instances.min(other.instances),
            memories: self.memories.min(other.memories),
            tables: self.tables.min(other.tables),
            table_elements: self.table_elements.min(other.table_elements),
            handles: self.handles.min(other.handles),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The name of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Time on the processor.
    Cpu,
    /// Time on the clock.
    Wall,
    /// Linear memory.
    Memory,
    /// Number of memories.
    Memories,
    /// Number of tables, or of their elements.
    Tables,
    /// Core instances.
    Instances,
    /// The guest's own stack.
    Stack,
    /// Bytes from guest to host in one call.
    HostcallFuel,
    /// Number of host calls.
    HostCalls,
    /// Open handles.
    Handles,
    /// Bytes that leave the sandbox.
    Egress,
    /// Bytes of one result.
    ResultSize,
    /// Bytes of the tool's answer.
    OutputSize,
    /// Lines or bytes of log.
    Log,
}

impl Limit {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::Cpu => "cpu-budget",
            Self::Wall => "wall-clock",
            Self::Memory => "memory",
            Self::Memories => "memories",
            Self::Tables => "tables",
            Self::Instances => "instances",
            Self::Stack => "stack",
            Self::HostcallFuel => "hostcall-fuel",
            Self::HostCalls => "host-calls",
            Self::Handles => "handles",
            Self::Egress => "egress",
            Self::ResultSize => "result-size",
            Self::OutputSize => "output-size",
            Self::Log => "log",
        }
    }

    /// What was too much, and what to do.
    pub(crate) fn explain(self, limits: &Limits) -> String {
        let Limits {
            memory,
            cpu,
            wall,
            host_calls,
            hostcall_fuel,
            egress,
            result,
            output,
            log_lines,
            log_bytes,
            instances,
            memories,
            tables,
            table_elements,
            handles,
        } = limits;
        match self {
            Self::Cpu => {
                format!("computed longer than {} ms; do less in one call, or ask for more with `limits.cpuMillis`", cpu.as_millis())
            }
            Self::Wall => {
                format!("took longer than {} ms; wait less in one call, or ask for more with `limits.wallMillis`", wall.as_millis())
            }
            Self::Memory => format!("needed more than {memory} bytes of memory; select less, or ask for more with `limits.memoryBytes`"),
            Self::Memories => format!("has more than {memories} linear memories; build it with fewer modules"),
            Self::Tables => format!("has more than {tables} tables or {table_elements} table elements; build it with fewer functions"),
            Self::Instances => format!("has more than {instances} core instances; build it with fewer modules"),
            Self::Stack => "exhausted its call stack; recurse less deeply".to_owned(),
            Self::HostcallFuel => format!("handed more than {hostcall_fuel} bytes to the host at once; send less"),
            Self::HostCalls => format!(
                "made more than {host_calls} calls to the host; list instead of getting one by one, or ask for more with `limits.hostCalls`"
            ),
            Self::Handles => format!("held more than {handles} handles at once; close what is no longer used"),
            Self::Egress => format!("tried to send more than {egress} bytes; send less, or ask for more with `limits.egressBytes`"),
            Self::ResultSize => format!(
                "asked for a result of more than {result} bytes; select fewer fields or a smaller page, or ask for more with `limits.resultBytes`"
            ),
            Self::OutputSize => format!("answered more than {output} bytes; summarise, or ask for more with `limits.outputBytes`"),
            Self::Log => format!("wrote more than {log_lines} lines or {log_bytes} bytes of log; log less"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
