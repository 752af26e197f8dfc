//! By which names a lock knows outputs.

use std::collections::HashMap;

use gonda_recipe::Output;

/// `<target>/<output>` for each output of a recipe's renderings, in their order. An output that is there several times for
/// a target, in several variants, has a number after its name from the second one on: `linux-64/tool.2`.
pub fn keys<'a>(renderings: impl IntoIterator<Item = &'a [Output]>) -> Vec<Vec<String>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut key = |output: &Output| {
        let key = format!("{}/{}", output.target_platform, output.name);
        if output.skip {
            return key;
        }
        let number = seen.entry(key.clone()).or_default();
        *number += 1;
        if *number == 1 { key } else { format!("{key}.{number}") }
    };
    renderings.into_iter().map(|outputs| outputs.iter().map(&mut key).collect()).collect()
}
