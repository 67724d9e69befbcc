import { describe, expect, test } from "vitest";
import { html, type Part } from "../../../src/admin/page/html.ts";

describe("markup", () => {
  test("escapes what could end a text or an attribute", () => {
    const text = `</p><script>alert("1")</script>'&amp;`;
    expect(html`<p title="${text}">${text}</p>`.text).toBe(
      `<p title="&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;amp;">` +
        `&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;amp;</p>`,
    );
  });

  test("shows marks that reorder text as escapes", () => {
    expect(html`${"v1.0\u202e\u0007\n"}`.text).toBe("v1.0\\u202e\\x07\n");
  });

  test("takes markup, lists, numbers, and nothing", () => {
    const items: Part[] = ["<", html`<b>${">"}</b>`, 0, undefined, false];
    expect(html`<i>${items}</i>${undefined}${false}`.text).toBe("<i>&lt;<b>&gt;</b>0</i>");
  });
});
