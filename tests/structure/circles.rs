//! Circles in a graph of imports.

use std::collections::{BTreeMap, BTreeSet};

/// The groups of files that import each other, directly or through others. Each group is sorted.
pub(crate) fn find<'a>(imports: &BTreeSet<(&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports {
        targets.entry(from).or_default().push(to);
    }
    let reachable: BTreeMap<&str, BTreeSet<&str>> =
        targets.keys().map(|from| (*from, reachable_from(from, &targets))).collect();
    let mut circles = BTreeSet::new();
    for (from, reached) in &reachable {
        if reached.contains(from) {
            let circle: Vec<&str> = reached
                .iter()
                .copied()
                .filter(|to| reachable.get(to).is_some_and(|back| back.contains(from)))
                .collect();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable_from<'a>(from: &'a str, targets: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for to in targets.get(file).into_iter().flatten() {
            if reached.insert(*to) {
                next.push(to);
            }
        }
    }
    reached
}
