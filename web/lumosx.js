/** The extension: the board on LumosX Binder and the result view on LumosX Relational Encode. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { offerPhrasesAnywhere } from "./board/anywhere.js";
import { addBoard } from "./board/board.js";
import { addResult } from "./result/result.js";
import { foldInputs } from "./folded.js";
import { widgetOf } from "./graph/values.js";
import { correctVueNode, nameWidgets } from "./labels.js";
import { nameForSearch } from "./search.js";
import { addStyle } from "./style.js";
import { keepLow } from "./view.js";
import { widen } from "./widths.js";
import { loadWords } from "./words.js";

/** @type {Record<string, (node: object, host: {app: object, api: object}) => void>} */
const VIEWS = {
  LumosX_Binder: addBoard,
  LumosX_RelationalEncode(node, host) {
    keepLow(widgetOf(node, "negative_prompt"));
    addResult(node, host);
  },
};

app.registerExtension({
  name: "lumosx.board",

  async setup() {
    addStyle(document);
    offerPhrasesAnywhere({ app, api });
    await loadWords(api, app.extensionManager?.setting?.get("Comfy.Locale"));
  },

  beforeRegisterVueAppNodeDefs(definitions) {
    nameForSearch(definitions);
  },

  nodeCreated(node) {
    if (node.comfyClass?.startsWith("LumosX_")) {
      nameWidgets(node);
      foldInputs(node, { app });
      widen(node);
      correctVueNode(node);
    }
    VIEWS[node.comfyClass]?.(node, { app, api });
  },
});
