//! The names of types.

use std::collections::BTreeMap;

use syn::visit::Visit;
use syn::{ItemEnum, ItemMod, ItemStruct, ItemTrait, ItemType};

use crate::modules::is_test;

/// The types of all files, each with the files that define it.
#[derive(Default)]
pub(crate) struct Types {
    file: String,
    found: BTreeMap<String, Vec<String>>,
}

impl Types {
    pub(crate) fn read(&mut self, name: &str, text: &str) {
        name.clone_into(&mut self.file);
        self.visit_file(&syn::parse_file(text).unwrap());
    }

    /// The names that more than one type has.
    pub(crate) fn shared(&self) -> Vec<(&String, &Vec<String>)> {
        self.found.iter().filter(|(_, files)| files.len() > 1).collect()
    }

    fn add(&mut self, name: &syn::Ident) {
        self.found.entry(name.to_string()).or_default().push(self.file.clone());
    }
}

impl<'ast> Visit<'ast> for Types {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.add(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.add(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.add(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.add(&item.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }
}
