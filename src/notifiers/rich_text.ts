/** A piece of a notification's text, which each notifier renders in its own syntax. */
export type Span = string | { bold: string } | { code: string } | { lines: readonly string[] };

/** The text of a notification: spans without separators between them. */
export type RichText = readonly Span[];

export function code(text: string): Span {
  return { code: text };
}

/** Builds a text: rich`Pulled image for ${code(tag)}`. */
export function rich(
  strings: TemplateStringsArray,
  ...values: readonly (Span | RichText | number)[]
): RichText {
  return strings.flatMap((text, index) => {
    const value = values[index] ?? "";
    const spans = Array.isArray(value) ? value : [typeof value === "number" ? `${value}` : value];
    return [text, ...spans].filter((span) => span !== "");
  });
}

/** Changes every string of a text; lines of output are changed as one. */
export function mapText(
  text: RichText,
  change: (part: string, isOutput: boolean) => string,
): RichText {
  return text.map((span) => {
    if (typeof span === "string") return change(span, false);
    if ("lines" in span) return { lines: change(span.lines.join("\n"), true).split("\n") };
    return "bold" in span ? { bold: change(span.bold, false) } : { code: change(span.code, false) };
  });
}

export function plainText(text: RichText): string {
  return text
    .map((span) => {
      if (typeof span === "string") return span;
      if ("lines" in span) return `\n${span.lines.join("\n")}`;
      return "bold" in span ? span.bold : span.code;
    })
    .join("");
}
