/** An element: its text, CDATA included, or its children. */
export interface XmlElement {
  name: string;
  text: string;
  children: XmlElement[];
}

// In the order of the alternatives: declaration or comment, CDATA, end tag, start tag, text.
const TOKEN =
  /<\?[^>]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([\w:.-]+)\s*>|<([A-Za-z_][\w:.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};
const MAX_DEPTH = 16;

/**
 * Reads a whole XML document as S3 and its relatives write it. Attributes are checked, but dropped. Returns `undefined`
 * if the document is not well-formed, or has a DOCTYPE: nothing that is cut off or hostile is read in part.
 * https://www.w3.org/TR/xml/
 */
export function readXml(xml: string): XmlElement | undefined {
  const root: XmlElement = { name: "", text: "", children: [] };
  const open = [root];
  TOKEN.lastIndex = 0;
  for (let at = xml.startsWith("\uFEFF") ? 1 : 0; at < xml.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(xml);
    const element = open.at(-1);
    if (token === null || element === undefined) return undefined;
    const [, data, end, start, , isEmpty, text] = token;
    if (end !== undefined) {
      if (end !== element.name) return undefined;
      open.pop();
    } else if (start !== undefined) {
      const child = { name: start, text: "", children: [] };
      element.children.push(child);
      if (isEmpty === "") open.push(child);
      if (open.length > MAX_DEPTH) return undefined;
    } else {
      const more = data ?? (text === undefined ? "" : decode(text));
      if (more === undefined) return undefined;
      element.text += more;
    }
  }
  const isWhole = open.length === 1 && root.children.length === 1 && root.text.trim() === "";
  return isWhole ? root.children[0] : undefined;
}

/** Decodes the references in a text; `undefined` if one is unknown. */
function decode(text: string): string | undefined {
  if (!text.includes("&")) return text;
  let isKnown = true;
  const decoded = text.replaceAll(
    /&(?:(\w+)|#(\d+)|#x([0-9A-Fa-f]+));|&/g,
    (_, name, decimal, hex) => {
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      const character = code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
      const found = name === undefined ? character : ownEntity(name);
      if (found === undefined) isKnown = false;
      return found ?? "";
    },
  );
  return isKnown ? decoded : undefined;
}

function ownEntity(name: string): string | undefined {
  return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
}
