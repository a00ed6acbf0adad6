//! ARCHITECTURE.md and the code say the same: every room is listed, and imports the rooms that its line names, which
//! stand below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Imports of a room from one that stands above it, each with the reason why it is there. An entry whose import has
/// gone fails the test, so that the list only becomes shorter.
const UPWARD: &[(&str, &str, &str)] = &[];

type Names = BTreeSet<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What ARCHITECTURE.md says.
struct Map {
    /// The rooms from the top down, with what their lines name as imported: `None` for the ground floor.
    rooms: Vec<(String, Option<Names>)>,
    /// Folders within rooms.
    inner: Names,
}

impl Map {
    fn read() -> Self {
        let mut map = Self { rooms: Vec::new(), inner: Names::new() };
        let mut heading = String::new();
        for line in read(&root().join("ARCHITECTURE.md")).lines() {
            if line.starts_with('#') {
                heading = line.trim_matches(['#', ' ']).to_owned();
            }
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let ["", name, second, ..] = *cells else {
                continue;
            };
            let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else {
                continue;
            };
            let name = name.trim_end_matches('/').trim_end_matches(".rs").to_owned();
            match &*heading {
                "The rooms" => {
                    let imports = second.split(',').filter_map(|name| name.trim().strip_prefix('`')?.strip_suffix('`'));
                    map.rooms.push((name, Some(imports.map(str::to_owned).collect())));
                }
                "The ground floor" => map.rooms.push((name, None)),
                "Rooms within rooms" => _ = map.inner.insert(name),
                _ => {}
            }
        }
        map
    }

    /// How far from the top it stands.
    fn floor(&self, room: &str) -> Option<usize> {
        self.rooms.iter().position(|(name, _)| name == room)
    }

    fn is_ground(&self, room: &str) -> bool {
        self.rooms.iter().any(|(name, imports)| name == room && imports.is_none())
    }
}

/// A source file that is compiled outside of tests.
struct Source {
    path: PathBuf,
    /// The path of its module from the crate's root.
    module: Vec<String>,
    /// Without comments and without the tests at its end.
    text: String,
}

/// The crate's modules, found from `lib.rs` by their declarations, so that those of tests can be told from the others.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![(root().join("src/lib.rs"), Vec::new())];
    while let Some((path, module)) = open.pop() {
        let text = without_tests(&read(&path));
        // Modules of `x.rs` are in `x/`, those of `lib.rs` and `x/mod.rs` beside it.
        let is_folder = path.ends_with("lib.rs") || path.ends_with("mod.rs");
        let folder = if is_folder { path.with_file_name("") } else { path.with_extension("") };
        for (name, _) in declared(&text).filter(|(_, is_test)| !is_test) {
            let [file, inside] = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
            let path = if file.exists() { file } else { inside };
            open.push((path, module.iter().cloned().chain([name.to_owned()]).collect()));
        }
        found.push(Source { path, module, text });
    }
    found
}

/// Without comments, and without the inline modules of tests, which are the last thing in a file.
fn without_tests(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let is_test = |pair: &[&str]| is_of_tests(pair[0]) && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let end = lines.windows(2).position(is_test).unwrap_or(lines.len());
    lines[..end].join("\n")
}

/// The modules that are declared here and stand in files of their own, and whether they are tests'.
fn declared(text: &str) -> impl Iterator<Item = (&str, bool)> {
    // Whether one of the attributes that the next declaration has is that of tests.
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        if line.starts_with("#[") {
            is_test |= is_of_tests(line);
            return None;
        }
        let is_test = std::mem::take(&mut is_test);
        let declaration = line.strip_suffix(';')?;
        let (visibility, name) = declaration.split_once("mod ")?;
        let is_one = visibility.is_empty() || visibility.starts_with("pub");
        is_one.then_some((name, is_test))
    })
}

fn is_of_tests(attribute: &str) -> bool {
    attribute == "#[cfg(test)]" || attribute.starts_with("#[cfg(all(test,")
}

/// The first names after `crate::`, and after as many `super::` as lead from this module to the crate's root.
fn imported(source: &Source) -> Names {
    let supers = "super::".repeat(source.module.len());
    let starts = ["crate::", &supers].into_iter().filter(|start| !start.is_empty());
    let mut names = Names::new();
    for start in starts {
        for (at, _) in source.text.match_indices(start) {
            let before = &source.text[..at];
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            names.extend(first_names(&source.text[at + start.len()..]));
        }
    }
    names
}

/// `a` of `a::b`; `a` and `c` of `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut depth, mut start, mut names) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What each room imports of others, and from where.
fn arrows() -> BTreeMap<(String, String), Vec<PathBuf>> {
    let mut arrows = BTreeMap::<_, Vec<_>>::new();
    for source in sources() {
        // The crate's root gives names out; it is no room.
        let Some(room) = source.module.first() else {
            continue;
        };
        for other in imported(&source).into_iter().filter(|other| other != room) {
            arrows.entry((room.clone(), other)).or_default().push(source.path.clone());
        }
    }
    arrows
}

/// Folders and files directly under `src`, but for the crate's root and for tests.
fn rooms() -> Names {
    let text = read(&root().join("src/lib.rs"));
    let tests: Vec<_> = declared(&text).filter_map(|(name, is_test)| is_test.then_some(name)).collect();
    let mut rooms = Names::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_source = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
        if is_source && name != "lib" && !tests.contains(&&*name) {
            rooms.insert(name);
        }
    }
    rooms
}

fn listed(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_room_is_on_the_map_and_nothing_else_is() {
    let map = Map::read();
    let on_map: Names = map.rooms.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(on_map.len(), map.rooms.len(), "ARCHITECTURE.md lists a room twice");
    let there = rooms();
    let missing = listed(there.difference(&on_map).cloned());
    assert_eq!(missing, "", "rooms under src/ that ARCHITECTURE.md does not list");
    let gone = listed(on_map.difference(&there).cloned());
    assert_eq!(gone, "", "rooms that ARCHITECTURE.md lists and that are not under src/");
}

#[test]
fn every_folder_within_a_room_is_on_the_map_and_nothing_else_is() {
    let map = Map::read();
    let src = root().join("src");
    let folder = |source: Source| {
        let path = source.path.strip_prefix(&src).unwrap();
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        (parts.len() > 2).then(|| parts[..2].join("/"))
    };
    let there: Names = sources().into_iter().filter_map(folder).collect();
    let missing = listed(there.difference(&map.inner).cloned());
    assert_eq!(missing, "", "folders that ARCHITECTURE.md does not list under \"Rooms within rooms\"");
    let gone = listed(map.inner.difference(&there).cloned());
    assert_eq!(gone, "", "folders that ARCHITECTURE.md lists and that hold no source");
}

#[test]
fn arrows_between_rooms_point_downward() {
    let map = Map::read();
    let mut upward = BTreeSet::new();
    for ((room, other), files) in arrows() {
        let to = map.floor(&other).unwrap_or_else(|| {
            panic!("`{other}` in {files:?} is no room of ARCHITECTURE.md: import a name from the room that defines it")
        });
        let from = map.floor(&room).unwrap_or_else(|| panic!("ARCHITECTURE.md does not list `{room}`"));
        if to < from {
            let is_known = UPWARD.iter().any(|(above, below, _)| (*above, *below) == (&*room, &*other));
            assert!(is_known, "`{room}` imports `{other}`, which stands above it in ARCHITECTURE.md: {files:?}");
            upward.insert((room, other));
        }
    }
    for (room, other, _) in UPWARD {
        let is_there = upward.contains(&((*room).to_owned(), (*other).to_owned()));
        assert!(is_there, "`{room}` imports `{other}` no more: take the exception out of `UPWARD`");
    }
}

#[test]
fn a_room_imports_what_its_line_says() {
    let map = Map::read();
    let arrows = arrows();
    for (room, said) in &map.rooms {
        let Some(said) = said else {
            continue;
        };
        let others = arrows.keys().filter(|(from, _)| from == room).map(|(_, other)| other);
        let is_named = |other: &&String| map.floor(other) > map.floor(room) && !map.is_ground(other);
        let imports: Names = others.filter(is_named).cloned().collect();
        assert_eq!(listed(said.clone()), listed(imports), "what ARCHITECTURE.md (left) says that `{room}` imports");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{\n    a::{b, c::d},\n    e,\n};\n// crate::comment\nuse super::sibling;\n\
                fn f() -> super::super::g::H { crate::i::j() }\nlet x = other_crate::k;\n\
                #[cfg(test)]\nmod tests {\n    use crate::l;\n}";
    let module = vec!["room".to_owned(), "file".to_owned()];
    let source = Source { path: PathBuf::new(), module, text: without_tests(text) };
    assert_eq!(listed(imported(&source)), "`a`, `e`, `g`, `i`");
    let declarations = "mod a;\n#[cfg(test)]\nmod tests;\npub(crate) mod b;\n#[cfg(test)]\npub(super) mod c;\nmod d {\n\
                        #[cfg(test)]\n#[cfg(unix)]\nmod e;\n#[cfg(unix)]\nmod f;";
    let found: Vec<_> = declared(declarations).collect();
    assert_eq!(found, [("a", false), ("tests", true), ("b", false), ("c", true), ("e", true), ("f", false)]);
}
