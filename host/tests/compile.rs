//! The compiling child seen from its parent: what it may not do, what ends it, and that nothing of that reaches the parent.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use infraagent::{
    compile::{CompileLimits, Compiler, Error, MAX_COMPONENT, Size},
    skill::{
        cache::Cache,
        load::{self, LoadError},
    },
};
use infraagent_sandbox::{
    engine::{Engine, EngineConfig},
    pure::{EVALUATION, Evaluator},
};
use tempfile::TempDir;
use wasm_encoder::{CodeSection, Function, FunctionSection, Module, TypeSection, ValType};

const PROGRAM: &str = env!("CARGO_BIN_EXE_infraagent");

fn limits() -> CompileLimits {
    CompileLimits::default()
}

fn compiler(limits: CompileLimits) -> Compiler {
    Compiler::with_program(PROGRAM, limits)
}

fn small() -> Vec<u8> {
    wat::parse_str("(component (core module (func (export \"f\") (result i32) i32.const 1)))").unwrap()
}

/// A component that is small for a file and large for a compiler: many functions with much to compute.
fn bomb(functions: u32) -> Vec<u8> {
    let (mut types, mut declared, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([ValType::I64], [ValType::I64]);
    for n in 0..functions {
        declared.function(0);
        let mut body = Function::new([(8, ValType::I64)]);
        let mut sink = body.instructions();
        for step in 0..100_u32 {
            sink.local_get(step % 9).local_get((step + n) % 9).i64_mul().i64_const(i64::from(n ^ step)).i64_xor().local_set((step + 1) % 9);
        }
        sink.local_get(1).end();
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    let mut component = wasm_encoder::Component::new();
    component.section(&wasm_encoder::ModuleSection(&module));
    component.finish()
}

/// A program in the child's place.
fn script(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("child");
    let mut file = fs::File::create(&path).unwrap();
    write!(file, "#!/bin/sh\n{text}\n").unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o700)).unwrap();
    (directory, path)
}

async fn answer_of(text: &str) -> Result<Vec<u8>, Error> {
    let (_directory, path) = script(text);
    Compiler::with_program(path, limits()).in_child(&small()).await
}

/// The child reported the error and the parent compiles the next component as if nothing had been.
#[track_caller]
fn named(result: Result<Vec<u8>, Error>, code: &str) -> String {
    let error = result.expect_err("there is native code");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}

async fn parent_is_well() {
    assert!(!compiler(limits()).in_child(&small()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_component_that_needs_too_much_memory_is_refused_with_the_value_to_set() {
    let component = bomb(1500);
    let tight = CompileLimits { memory: Size::mebibytes(16), ..limits() };
    let message = named(compiler(tight).in_child(&component).await, "compile-memory");
    assert!(message.contains("more than 16Mi"), "{message}");
    let value = message.split("--compile-memory ").nth(1).unwrap().trim_end_matches('`').to_owned();
    let enough = CompileLimits { memory: value.parse().unwrap(), ..limits() };
    assert!(compiler(enough).in_child(&component).await.is_ok(), "{value} is not enough");
    parent_is_well().await;
}

#[tokio::test]
async fn a_component_that_computes_for_too_long_is_refused() {
    let tight = CompileLimits { cpu: Duration::from_secs(1), memory: Size::mebibytes(4096), ..limits() };
    let message = named(compiler(tight).in_child(&bomb(6000)).await, "compile-cpu");
    assert!(message.contains("more than 1 s"), "{message}");
    parent_is_well().await;
}

#[tokio::test]
async fn a_component_that_takes_too_long_is_stopped() {
    let tight = CompileLimits { wall: Duration::from_millis(300), memory: Size::mebibytes(4096), ..limits() };
    named(compiler(tight).in_child(&bomb(6000)).await, "compile-wall-clock");
    parent_is_well().await;
}

#[tokio::test]
async fn what_is_not_a_valid_component_is_named() {
    let compiler = compiler(limits());
    named(compiler.in_child(b"").await, "not-a-component");
    named(compiler.in_child(b"(component)").await, "not-a-component");
    let message = named(compiler.in_child(&wat::parse_str("(module)").unwrap()).await, "not-a-component");
    assert!(message.contains("core module"), "{message}");
    named(compiler.in_child(&[&small()[..], b"\xff\xff"].concat()).await, "invalid-component");
    let native = compiler.in_child(&small()).await.unwrap();
    named(compiler.in_child(&native).await, "not-a-component");
    named(compiler.in_child(&vec![0; MAX_COMPONENT + 1]).await, "too-large");
}

#[test]
fn the_child_itself_refuses_more_than_the_largest_component() {
    let mut child = Command::new(PROGRAM)
        .args(["compile", "--memory", "268435456", "--cpu", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It stops reading at its bound, so the pipe breaks.
    let _ = child.stdin.take().unwrap().write_all(&vec![0; MAX_COMPONENT + 1]);
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("infraagent-compile: too-large: ") && words.lines().count() == 1, "{words}");
    assert!(output.stdout.is_empty() && output.status.code() == Some(3));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let message = named(answer_of("exec cat /dev/zero").await, "compile-output");
    assert!(message.contains("128Mi"), "{message}");
}

#[tokio::test]
async fn a_child_that_crashes_or_is_missing_is_named() {
    let message = named(answer_of("kill -SEGV $$").await, "compiler-crash");
    assert!(message.contains("signal: 11"), "{message}");
    named(answer_of("exit 0").await, "compiler-crash");
    named(answer_of("echo half; exit 1").await, "compiler-crash");
    named(Compiler::with_program("/does/not/exist", limits()).in_child(&small()).await, "compiler-missing");
}

#[tokio::test]
async fn words_of_the_child_are_bounded_and_cannot_paint_the_terminal() {
    let message = named(answer_of(r"printf '\033[31mred\007' >&2; exec head -c 1000000 /dev/zero >&2").await, "compiler-crash");
    assert!(message.contains("red") && !message.chars().any(char::is_control) && message.len() < 4000, "{message}");
    let message = named(answer_of(r"printf 'infraagent-compile: invalid: \033[31mred' >&2; exit 3").await, "invalid-component");
    assert!(message.contains("red") && !message.chars().any(char::is_control), "{message}");
}

#[tokio::test]
async fn a_child_that_does_not_listen_blocks_nobody() {
    let (_directory, path) = script("exec echo code");
    let large = vec![0; MAX_COMPONENT];
    assert_eq!(Compiler::with_program(path, limits()).in_child(&large).await.unwrap(), b"code\n");
}

#[tokio::test]
async fn the_child_gets_no_environment_and_no_place() {
    let shown = String::from_utf8(answer_of("pwd; env").await.unwrap()).unwrap();
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some("/"));
    // The shell adds some of its own.
    let foreign: Vec<_> = lines.filter(|line| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own))).collect();
    assert_eq!(foreign, ["MALLOC_ARENA_MAX=1"]);
}

#[tokio::test]
async fn children_run_one_at_a_time() {
    let (_directory, path) = script("mkdir $0.lock || exit 9; sleep 0.1; rmdir $0.lock; echo code");
    let (a, b) = (Compiler::with_program(&path, limits()), Compiler::with_program(&path, limits()));
    let component = small();
    let ends = tokio::join!(a.in_child(&component), b.in_child(&component), a.in_child(&component));
    for end in [ends.0, ends.1, ends.2] {
        assert_eq!(end.unwrap(), b"code\n");
    }
}

#[tokio::test]
async fn a_child_ends_when_nobody_waits_for_it_any_more() {
    let (_directory, path) = script("echo $$ > $0.pid; exec sleep 1000");
    let compiler = Compiler::with_program(&path, limits());
    let written = path.with_extension("pid");
    let component = small();
    let pid = tokio::select! {
        _ = compiler.in_child(&component) => panic!("the child ended"),
        pid = async {
            loop {
                match fs::read_to_string(&written) {
                    Ok(pid) if pid.ends_with('\n') => break pid,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        } => pid,
    };
    let alive = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    let start = Instant::now();
    while alive() && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!alive());
}

/// The child waits for its first byte: by then it must have given up everything.
#[cfg(target_os = "linux")]
#[test]
fn the_child_is_confined_before_it_reads() {
    let mut child = Command::new(PROGRAM)
        .args(["compile", "--memory", "1000000000", "--cpu", "7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let proc = Path::new("/proc").join(child.id().to_string());
    let limit = |name: &str| {
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    };
    let start = Instant::now();
    while limit("Max open files").1 != "0" && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    let pair = |soft: &str, hard: &str| (soft.to_owned(), hard.to_owned());
    assert_eq!(limit("Max open files"), pair("0", "0"));
    assert_eq!(limit("Max file size"), pair("0", "0"));
    assert_eq!(limit("Max core file size"), pair("0", "0"));
    assert_eq!(limit("Max cpu time"), pair("7", "8"));
    let (soft, hard) = limit("Max address space");
    assert!(soft == hard && soft.parse::<u64>().unwrap() > 1_000_000_000, "{soft} {hard}");
    let privileges: Vec<bool> = fs::read_dir(proc.join("task"))
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\tcompile\n"))
        .map(|status| status.contains("NoNewPrivs:\t1"))
        .collect();
    assert_eq!(privileges, [true], "the thread that sees the component has no way to more privileges");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn cached_code_runs_without_the_compiler_and_tampered_code_is_compiled_again() {
    let component = fs::read(concat!(env!("OUT_DIR"), "/cel.wasm")).unwrap();
    let engine = Engine::new(EngineConfig { instances: 2, pooling: true }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let missing = Compiler::with_program("/does/not/exist", limits());
    let runs = async |code| {
        let evaluator = Evaluator::load(&engine, &code, EVALUATION).unwrap();
        assert_eq!(evaluator.evaluate("1 + a", "{\"a\": 2}").await.unwrap(), "3");
    };

    assert_eq!(load::native(&component, &engine, Some(&cache), &missing).await.unwrap_err().code(), "compiler-missing");
    runs(load::native(&component, &engine, Some(&cache), &compiler(limits())).await.unwrap()).await;
    runs(load::native(&component, &engine, Some(&cache), &missing).await.unwrap()).await;

    let entry = fs::read_dir(directory.path().join("compiled")).unwrap().map(|file| file.unwrap().path());
    let entry = entry.into_iter().find(|path| path.extension().is_some()).unwrap();
    let mut bytes = fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entry, &bytes).unwrap();
    assert_eq!(load::native(&component, &engine, Some(&cache), &missing).await.unwrap_err().code(), "compiler-missing");
    runs(load::native(&component, &engine, Some(&cache), &compiler(limits())).await.unwrap()).await;
    runs(load::native(&component, &engine, Some(&cache), &missing).await.unwrap()).await;
}

#[tokio::test]
async fn a_component_that_is_not_admitted_is_not_compiled() {
    let (directory, path) = script("touch $0.ran; echo code");
    let engine = Engine::new(EngineConfig { instances: 1, pooling: false }).unwrap();
    let error = load::load(&small(), &engine, None, &Compiler::with_program(&path, limits())).await.unwrap_err();
    assert!(matches!(&error, LoadError::Refused(reasons) if !reasons.is_empty()), "{error}");
    assert!(!path.with_extension("ran").exists());
    drop(directory);
}
