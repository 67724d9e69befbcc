import { printable } from "../../core/text.ts";

/** Markup in which every value was escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | false | undefined | readonly Part[];

/** Makes markup of a template. Texts become text; only the template itself and other {@link Html} become markup. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(String.raw({ raw: strings }, ...parts.map(markup)));
}

/** A section with a title; hidden if it has no body. */
export function card(id: string, title: Part, body: Part): Html {
  if (body === undefined) return html`<section id="${id}" hidden></section>`;
  return html`<section id="${id}" class="card" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}
</section>`;
}

function markup(part: Part): string {
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(markup).join("");
  return part === undefined || part === false ? "" : escaped(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Control characters and marks that reorder text are shown as escapes. */
function escaped(text: string): string {
  return printable(text, "\n\t").replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
