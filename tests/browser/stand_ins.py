"""Nodes of the shape that popular packs have, put into a page: pairs of Set and Get, broadcasts, and switches."""

from __future__ import annotations

# Both kinds of pairs are only on the page; the one looks outside of subgraphs too and complains in toasts, the other
# throws.
PAIRS = """() => {
  window.toasts = 0;
  const named = (type, name) => (node) => node.type === type && node.widgets[0].value === name && name !== '';
  const around = (graph) => {
    const root = app.rootGraph ?? app.graph.rootGraph ?? app.graph;
    const all = (at) => at.nodes.flatMap((node) => [node, ...(node.subgraph ? all(node.subgraph) : [])]);
    const found = [graph];
    while (found.at(-1) !== root) found.push(all(root).find((node) => node.subgraph === found.at(-1)).graph);
    return found;
  };
  const base = (type) => class extends LiteGraph.LGraphNode {
    static title = type;
    constructor(title) {
      super(title);
      this.isVirtualNode = this.serialize_widgets = true;
      this.addWidget('text', 'Constant', '', () => {});
    }
  };
  const setter = (type) => class extends base(type) {
    constructor(title) {
      super(title);
      this.addInput('*', '*');
      this.addOutput('*', '*');
    }
  };
  class Get extends base('GetNode') {
    constructor(title) {
      super(title);
      this.addOutput('*', '*');
    }
    getInputLink(slot) {
      const is = named('SetNode', this.widgets[0].value), own = this.graph.nodes.find(is);
      if (own) return own.getInputLink(slot);
      if (!around(this.graph).some((graph) => graph.nodes.some(is))) window.toasts++;
      return null;
    }
    resolveVirtualOutput(slot) {
      const is = named('SetNode', this.widgets[0].value);
      const outside = this.graph.nodes.some(is) ? null : around(this.graph).flatMap((graph) => graph.nodes).find(is);
      const link = outside?.getInputLink(slot);
      return link ? { node: outside.graph.getNodeById(link.origin_id), slot: link.origin_slot } : undefined;
    }
  }
  class EasyGet extends base('easy getNode') {
    constructor(title) {
      super(title);
      this.addOutput('*', '*');
    }
    getInputLink(slot) {
      const own = this.graph.nodes.find(named('easy setNode', this.widgets[0].value));
      if (!own) throw new Error('No setter found');
      return own.getInputLink(slot);
    }
  }
  for (const type of ['SetNode', 'easy setNode']) LiteGraph.registerNodeType(type, setter(type));
  LiteGraph.registerNodeType('GetNode', Get);
  LiteGraph.registerNodeType('easy getNode', EasyGet);
  window.PAIRS = { SetNode: 'GetNode', 'easy setNode': 'easy getNode' };
  // Put a pair between an input and what is linked to it.
  window.between = (node, name, type, word) => {
    const index = node.inputs.findIndex((input) => input.name === name);
    const link = node.getInputLink(index), source = node.graph.getNodeById(link.origin_id), slot = link.origin_slot;
    const [set, get] = [scene.add(type, 0, 2000), scene.add(PAIRS[type], 300, 2000)];
    for (const each of [set, get]) each.widgets[0].value = word;
    source.connect(slot, set, 0);
    get.connect(0, node, index);
    return [set, get];
  };
}"""

# It notes in the graph what it is going to link, and links it only while a prompt is made.
BROADCASTS = """() => {
  class Anything extends LiteGraph.LGraphNode {
    static title = 'Anything Everywhere';
    constructor(title) {
      super(title);
      this.addInput('anything', '*');
      this.comfyClass = 'Anything Everywhere';
    }
  }
  LiteGraph.registerNodeType('Anything Everywhere', Anything);
  // Send what is linked to a node to inputs of others: [node, index of the input].
  window.broadcast = (controller, targets) => {
    const { origin_id: upstream, origin_slot: upstream_slot } = controller.getInputLink(0);
    const from = { upstream: String(upstream), upstream_slot, controller: controller.id, type: '*' };
    const noted = targets.map(([node, downstream_slot]) => ({ downstream: node.id, downstream_slot, ...from }));
    controller.graph.extra.ue_links = [...(controller.graph.extra.ue_links ?? []), ...noted];
  };
  const plain = (window.plainPrompt ??= app.graphToPrompt);
  app.graphToPrompt = async function (...given) {
    const made = (app.graph.extra.ue_links ?? []).map((each) => {
      const target = app.graph.getNodeById(each.downstream);
      app.graph.getNodeById(Number(each.upstream)).connect(each.upstream_slot, target, each.downstream_slot);
      return [target, each.downstream_slot];
    });
    try {
      return await plain.apply(this, given);
    } finally {
      for (const [target, slot] of made) target.disconnectInput(slot);
    }
  };
}"""

# A switch is an ordinary node: the server decides, and the page can only know how.
SWITCHES = """(shapes) => {
  for (const [type, inputs, [name, value]] of shapes) {
    class Switch extends LiteGraph.LGraphNode {
      static title = type;
      constructor(title) {
        super(title);
        this.comfyClass = type;
        for (const input of inputs) this.addInput(input, '*');
        this.addOutput('*', '*');
        if (name) this.addWidget(typeof value === 'boolean' ? 'toggle' : 'number', name, value, () => {});
      }
    }
    LiteGraph.registerNodeType(type, Switch);
  }
}"""
