use std::{sync::Barrier, thread};

use infraagent_sandbox::compiled::Seal as _;
use tempfile::TempDir;

use super::*;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000002";

fn engine() -> Engine {
    Engine::compiler().unwrap()
}

fn code(text: &str) -> Authentic {
    Authentic::from_compiler(text.as_bytes().to_vec())
}

/// The bytes in a proof, as an entry would hold them.
fn bytes(code: &Authentic, engine: &Engine) -> Vec<u8> {
    compiled::seal(code, DIGEST, engine, &Key::from_bytes(&[0; 32]))[32..].to_vec()
}

fn cache() -> (TempDir, Cache, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    (directory, cache, engine())
}

fn entries(cache: &Cache) -> usize {
    fs::read_dir(&cache.directory).unwrap().filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == EXTENSION)).count()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Plants `entry` where the code of `DIGEST` would be: it must be ignored, gone afterwards, and no obstacle to the right one.
#[track_caller]
fn refused(cache: &Cache, engine: &Engine, entry: &[u8], what: &str) {
    let path = cache.path(DIGEST, engine);
    fs::write(&path, entry).unwrap();
    assert!(cache.find(DIGEST, engine).is_none(), "{what} was taken");
    assert!(!path.exists(), "{what} was left");
}

#[test]
fn what_was_kept_is_found_again_by_another_process_of_this_user() {
    let (directory, cache, engine) = cache();
    assert!(cache.find(DIGEST, &engine).is_none());
    cache.keep(DIGEST, &engine, &code("native code")).unwrap();
    let again = Cache::open(directory.path()).unwrap();
    assert_eq!(bytes(&again.find(DIGEST, &engine).unwrap(), &engine), b"native code");
    assert!(again.find(OTHER, &engine).is_none());
}

#[test]
fn an_entry_with_any_byte_altered_missing_or_added_is_never_taken() {
    let (_directory, cache, engine) = cache();
    cache.keep(DIGEST, &engine, &code("native code")).unwrap();
    let good = fs::read(cache.path(DIGEST, &engine)).unwrap();
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            refused(&cache, &engine, &bad, &format!("an entry with byte {at} altered"));
        }
        refused(&cache, &engine, &good[..at], &format!("an entry cut at {at}"));
    }
    refused(&cache, &engine, &[&good[..], b"\0"].concat(), "an entry with a byte more");
    refused(&cache, &engine, &[&good[..], &good[..]].concat(), "an entry twice");
    fs::write(cache.path(DIGEST, &engine), &good).unwrap();
    assert!(cache.find(DIGEST, &engine).is_some(), "the entry itself is still good");
}

#[test]
fn an_entry_of_another_component_key_or_engine_is_never_taken() {
    let (_directory, cache, engine) = cache();
    cache.keep(DIGEST, &engine, &code("one")).unwrap();
    cache.keep(OTHER, &engine, &code("other")).unwrap();
    let (one, other) = (cache.path(DIGEST, &engine), cache.path(OTHER, &engine));
    let (of_one, of_other) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
    fs::write(&other, &of_one).unwrap();
    refused(&cache, &engine, &of_other, "an entry of another component");
    assert!(cache.find(OTHER, &engine).is_none(), "the other half of the swap");

    let sealed = |key: &Key, purpose: &[u8], fingerprint: &[u8]| {
        let seal = key.seal(&[purpose, DIGEST.as_bytes(), fingerprint, b"code"]);
        [HEADER, &seal[..], b"code"].concat()
    };
    let purpose = b"infraagent compiled component 1";
    // Made as the real one is made, so the refusals below are for the one thing that differs.
    fs::write(&one, sealed(&cache.key, purpose, engine.fingerprint())).unwrap();
    assert!(cache.find(DIGEST, &engine).is_some());

    let mut fingerprint = *engine.fingerprint();
    fingerprint[31] ^= 1;
    refused(&cache, &engine, &sealed(&cache.key, purpose, &fingerprint), "an entry of another engine");
    refused(&cache, &engine, &sealed(&Key::from_bytes(&[7; 32]), purpose, engine.fingerprint()), "an entry of another key");
    refused(&cache, &engine, &sealed(&cache.key, b"something else", engine.fingerprint()), "a seal for something else");
}

#[test]
fn parts_of_a_seal_cannot_be_shifted_into_each_other() {
    let key = Key::from_bytes(&[1; 32]);
    assert_ne!(key.seal(&[b"ab", b"c"]), key.seal(&[b"a", b"bc"]));
    assert_ne!(key.seal(&[b"ab"]), key.seal(&[b"ab", b""]));
    assert!(key.verify(&[b"ab", b"c"], &key.seal(&[b"ab", b"c"])));
}

#[test]
fn links_pipes_and_directories_in_the_place_of_an_entry_are_not_followed() {
    let (directory, cache, engine) = cache();
    let path = cache.path(DIGEST, &engine);
    cache.keep(DIGEST, &engine, &code("native code")).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(cache.find(DIGEST, &engine).is_none());
    assert!(elsewhere.exists() && fs::symlink_metadata(&path).is_err());

    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(cache.find(DIGEST, &engine).is_none());
    assert!(fs::symlink_metadata(&path).is_err());

    fs::create_dir(&path).unwrap();
    assert!(cache.find(DIGEST, &engine).is_none());
}

#[test]
fn everything_is_for_this_user_only() {
    let (directory, cache, engine) = cache();
    cache.keep(DIGEST, &engine, &code("native code")).unwrap();
    assert_eq!(mode(&cache.directory), 0o700);
    assert_eq!(mode(&cache.directory.join("key")), 0o600);
    assert_eq!(mode(&cache.path(DIGEST, &engine)), 0o600);
    assert_eq!(fs::metadata(cache.directory.join("key")).unwrap().len(), 32);
    assert!(!format!("{cache:?} {:?}", cache.key).contains(&format!("{:?}", fs::read(cache.directory.join("key")).unwrap())));

    fs::set_permissions(&cache.directory, fs::Permissions::from_mode(0o777)).unwrap();
    Cache::open(directory.path()).unwrap();
    assert_eq!(mode(&cache.directory), 0o700, "an open directory is closed again");
}

#[test]
fn directories_that_are_missing_are_made_private_and_others_are_left_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let deep = directory.path().join("a/b");
    Cache::open(&deep).unwrap();
    assert_eq!((mode(directory.path()), mode(&directory.path().join("a")), mode(&deep)), (0o755, 0o700, 0o700));
}

#[test]
fn a_key_that_others_could_read_or_that_is_none_is_refused() {
    let (directory, cache, _engine) = cache();
    let key = cache.directory.join("key");
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let error = Cache::open(directory.path()).unwrap_err();
        assert!(matches!(&error, Error::BadKey { mode: found, .. } if *found == mode), "{error}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for length in [0, 31, 33] {
        fs::write(&key, vec![1; length]).unwrap();
        assert!(matches!(Cache::open(directory.path()).unwrap_err(), Error::BadKey { .. }), "{length} bytes");
    }
    fs::remove_file(&key).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &key).unwrap();
    assert!(matches!(Cache::open(directory.path()).unwrap_err(), Error::BadKey { .. }));
    fs::remove_file(&key).unwrap();
    Cache::open(directory.path()).unwrap();
}

#[test]
fn whoever_opens_at_the_same_time_gets_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let (path, start) = (directory.path(), Barrier::new(16));
    let seals: Vec<[u8; 32]> = thread::scope(|scope| {
        let open = || {
            start.wait();
            Cache::open(path).unwrap().key.seal(&[b"same"])
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(seals.iter().all(|seal| *seal == seals[0]));
    assert_eq!(fs::read_dir(path.join("compiled")).unwrap().count(), 1, "only the key is left");
}

#[test]
fn writers_and_readers_at_the_same_time_see_whole_entries_or_none() {
    let (_directory, cache, engine) = cache();
    let texts: Vec<String> = (0..4).map(|writer| format!("{writer}").repeat(100_000)).collect();
    thread::scope(|scope| {
        for text in &texts {
            let (cache, engine) = (&cache, &engine);
            scope.spawn(move || (0..20).for_each(|_| cache.keep(DIGEST, engine, &code(text)).unwrap()));
            scope.spawn(move || {
                for _ in 0..20 {
                    let Some(found) = cache.find(DIGEST, engine) else { continue };
                    let found = bytes(&found, engine);
                    assert!(found.len() == 100_000 && found.iter().all(|byte| *byte == found[0]));
                }
            });
        }
    });
    assert!(cache.find(DIGEST, &engine).is_some(), "no reader removed a good entry");
    assert_eq!(fs::read_dir(&cache.directory).unwrap().count(), 2, "the key and one entry");
}

#[test]
fn past_the_bound_the_least_recently_used_entries_go() {
    let (_directory, cache, engine) = cache();
    let one = (HEADER.len() + 32 + 1000) as u64;
    let cache = cache.bounded(3 * one);
    let digest = |n: u64| format!("sha256:{n:064x}");
    let long_ago = |n: u64, hours: u64| {
        let file = File::open(cache.path(&digest(n), &engine)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    };
    for n in 0..3 {
        cache.keep(&digest(n), &engine, &code(&"x".repeat(1000))).unwrap();
        long_ago(n, 10 - n);
    }
    assert_eq!(entries(&cache), 3);
    // The oldest is used, so the second goes.
    assert!(cache.find(&digest(0), &engine).is_some());
    cache.keep(&digest(3), &engine, &code(&"x".repeat(1000))).unwrap();
    let found: Vec<bool> = (0..4).map(|n| cache.find(&digest(n), &engine).is_some()).collect();
    assert_eq!(found, [true, false, true, true]);

    cache.keep(&digest(4), &engine, &code(&"x".repeat(4000))).unwrap();
    assert!(cache.find(&digest(4), &engine).is_none(), "what is larger than the bound is not kept");
    assert_eq!(entries(&cache), 3, "and nothing goes for it");
}

#[test]
fn what_ended_writers_left_is_swept_and_what_others_write_now_stays() {
    let (_directory, cache, engine) = cache();
    let (old, new, foreign) = (cache.directory.join(".new-old"), cache.directory.join(".new-new"), cache.directory.join("README"));
    for path in [&old, &new, &foreign] {
        fs::write(path, "x").unwrap();
    }
    for path in [&old, &foreign] {
        File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    }
    cache.keep(DIGEST, &engine, &code("native code")).unwrap();
    assert_eq!((old.exists(), new.exists(), foreign.exists()), (false, true, true));
}
