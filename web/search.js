/** Search words for our nodes, on pages whose search looks only at names. */

// Search counts how far from its beginning a name has a word and leaves out what is beyond about 30 letters, so each
// name has but a few words; the one that needs more begins with them.
const FIRST = { LumosX_Subject: "person, outfit, clothes, character" };
const WORDS = {
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
    const name = nameOf(each);
    if (name !== each.display_name && !each.search_aliases) definitions[index] = { ...each, display_name: name };
  });
}

function nameOf({ name, display_name: own }) {
  if (FIRST[name]) return `${FIRST[name]} (${own})`;
  return WORDS[name] ? `${own} (${WORDS[name]})` : own;
}
