//! The modules of a crate and their imports, read from the source. Code under `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use quote::ToTokens as _;
use syn::visit::Visit;
use syn::{Attribute, Item, UseTree};

/// A path of names from the root of the crate.
type Names = Vec<String>;

#[derive(Default)]
pub(crate) struct Modules {
    /// The file of each module, below `src`.
    files: BTreeMap<Names, String>,
    /// What each module imports under another module's name: the name here, and the path it stands for.
    aliases: BTreeMap<(Names, String), Names>,
    /// Absolute paths that each module uses.
    used: BTreeMap<Names, BTreeSet<Names>>,
}

impl Modules {
    /// Reads a crate from its `lib.rs` on.
    pub(crate) fn read(src: &Path) -> Self {
        let mut modules = Self::default();
        modules.read_file(src, "lib.rs", Names::new());
        modules
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(String::as_str)
    }

    /// Which file uses a name that another file defines.
    pub(crate) fn imports(&self) -> BTreeSet<(&str, &str)> {
        let mut imports = BTreeSet::new();
        for (module, used) in &self.used {
            let from = self.files[module].as_str();
            for path in used {
                if let Some(to) = self.file_of(path).filter(|to| *to != from) {
                    imports.insert((from, to));
                }
            }
        }
        imports
    }

    /// The file that defines a name. A name that a module exports for another one belongs to the other one.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        // Each step follows one export; more would be a circle of exports.
        for _ in 0..10 {
            let known = (0..=path.len()).rev().find(|&length| self.files.contains_key(&path[..length]))?;
            let (module, rest) = path.split_at(known);
            let exported = rest.first().and_then(|name| self.aliases.get(&(module.to_vec(), name.clone())));
            match exported {
                Some(target) => path = target.iter().chain(&rest[1..]).cloned().collect(),
                None => return self.files.get(module).map(String::as_str),
            }
        }
        None
    }

    fn read_file(&mut self, src: &Path, file: &str, module: Names) {
        let text = std::fs::read_to_string(src.join(file)).unwrap_or_else(|error| panic!("src/{file}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("src/{file}: {error}"));
        self.files.insert(module.clone(), file.to_owned());
        let mut visitor = Visitor { module: &module, used: BTreeSet::new(), aliases: Vec::new() };
        for item in &parsed.items {
            match item {
                Item::Mod(child) if child.content.is_none() => {
                    if !is_test(&child.attrs) {
                        let name = child.ident.to_string();
                        let mut path = module.clone();
                        path.push(name);
                        let flat = format!("{}.rs", path.join("/"));
                        let nested = format!("{}/mod.rs", path.join("/"));
                        let file = if src.join(&flat).exists() { flat } else { nested };
                        self.read_file(src, &file, path);
                    }
                }
                item => visitor.visit_item(item),
            }
        }
        let Visitor { used, aliases, .. } = visitor;
        for (name, target) in aliases {
            self.aliases.insert((module.clone(), name), target);
        }
        self.used.insert(module, used);
    }
}

pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.meta.to_token_stream().to_string().contains("test")
    })
}

struct Visitor<'m> {
    module: &'m Names,
    used: BTreeSet<Names>,
    aliases: Vec<(String, Names)>,
}

impl Visitor<'_> {
    /// The absolute form of a path that starts with `crate`, `self` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Names::new(),
            "self" => self.module.clone(),
            "super" => {
                let mut module = self.module.clone();
                module.pop();
                module
            }
            _ => return None,
        };
        for name in rest {
            if name == "super" {
                module.pop();
            } else if name != "self" {
                module.push(name.clone());
            }
        }
        Some(module)
    }

    /// The leaves of a `use`: path and the name it gets.
    fn leaves(prefix: &[String], tree: &UseTree, leaves: &mut Vec<(Names, String)>) {
        let joined = |name: &dyn std::fmt::Display| {
            let mut path = prefix.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => Self::leaves(&joined(&path.ident), &path.tree, leaves),
            UseTree::Name(name) if name.ident == "self" => {
                leaves.push((prefix.to_vec(), prefix.last().cloned().unwrap_or_default()));
            }
            UseTree::Name(name) => leaves.push((joined(&name.ident), name.ident.to_string())),
            UseTree::Rename(rename) => leaves.push((joined(&rename.ident), rename.rename.to_string())),
            UseTree::Glob(_) => leaves.push((prefix.to_vec(), "*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| Self::leaves(prefix, tree, leaves)),
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        Self::leaves(&[], &item.tree, &mut leaves);
        for (path, name) in leaves {
            // `use child::Name` in a module means its own child.
            let path = self.absolute(&path).or_else(|| self.absolute(&[vec!["self".to_owned()], path].concat()));
            if let Some(path) = path {
                if name != "*" {
                    self.aliases.push((name, path.clone()));
                }
                self.used.insert(path);
            }
        }
    }

    /// `pub(in crate::spool)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.used.extend(self.absolute(&names).filter(|_| names.len() > 1));
        syn::visit::visit_path(self, path);
    }
}
