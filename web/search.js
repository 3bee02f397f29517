/** Search words for our nodes, on pages whose search looks only at names. */

// Search counts how far from its beginning a name has a word, so each name has but a few.
const WORDS = {
  LumosX_Subject: "person, character",
  LumosX_Object: "outfit, clothes",
  LumosX_Binder: "multi person",
  LumosX_RelationalEncode: "consistency",
};

/**
 * Add words to the names that search and library show; the nodes' titles stay as they are. Pages that know search
 * aliases need none of it.
 * @param {{name: string, display_name: string, search_aliases?: string[]}[]} definitions changed in place
 */
export function nameForSearch(definitions) {
  definitions.forEach((each, index) => {
    const words = WORDS[each.name];
    if (words && !each.search_aliases) definitions[index] = { ...each, display_name: `${each.display_name} (${words})` };
  });
}
