"""The page itself: it loads the pack's files and nothing in the console complains."""


def test_the_page_opens_in_the_mode_that_was_asked_for(comfy, request):
    vue = comfy.run("() => window.app.extensionManager.setting.get('Comfy.VueNodes.Enabled')")
    assert vue == (request.node.callspec.params["comfy"] == "vue")
    assert "\n".join(comfy.errors) == ""


def test_a_node_is_drawn_by_the_mode_it_was_asked_for(comfy, request):
    comfy.run("() => app.graph.add(LiteGraph.createNode('LumosX_Sampler'))")
    comfy.page.wait_for_timeout(800)
    drawn = comfy.page.locator("[data-node-id]").count()
    assert (drawn > 0) == (request.node.callspec.params["comfy"] == "vue")
    assert comfy.missing_nodes() == []
