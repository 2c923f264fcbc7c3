"""The stage in a bare page: the real module and style sheet, a stand-in for the kernel. For pictures and measuring.

What a kernel must answer is tested in real JupyterLab (`test_stage.py`); here the widget's state is what Python made.
"""

import json

from playwright.sync_api import Page

from livemig.draw.modules import script, style
from livemig.draw.stage import Stage

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>stage</title>
<style>html,body{margin:0}%(css)s
body{background:#fff}body[data-jp-theme-light="false"]{background:#212121;--jp-layout-color1:#212121}</style></head>
<body data-jp-theme-light="%(light)s"><main>
<h1 style="position:absolute;width:1px;height:1px;overflow:hidden">stage</h1>
<div id="here"></div></main>
<script type="module">
%(esm)s
const state = %(state)s;
const listeners = {};
window.sent = [];
window.model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; (listeners["change:" + name] ?? []).forEach((f) => f()); },
  save_changes: () => {},
  on: (name, f) => (listeners[name] ??= []).push(f),
  off: () => {},
  send: (content) => window.sent.push(content),
};
window.remove = stage.render({ model: window.model, el: document.getElementById("here") });
window.ready = true;
</script></body></html>"""


def show(page: Page, stage: Stage, *, light: bool = True) -> None:
    """Draw `stage` in `page` without a kernel."""
    state = stage.get_state()
    module = script().replace("export default {", "const stage = {")
    html = _PAGE % {"css": style(), "esm": module, "light": str(light).lower(),
                    "state": json.dumps(state).replace("</", "<\\/")}
    page.set_content(html)
    page.wait_for_function("window.ready === true")
    page.wait_for_function("document.querySelector('.lm [data-el=sequence]').childElementCount > 0")
