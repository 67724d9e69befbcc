// Records every ES module that Node loads, one URL a line, in the file that DEWY_LOADED names.
import { register } from "node:module";

const hooks = `
  import { appendFileSync } from "node:fs";
  export async function load(url, context, next) {
    if (!url.startsWith("node:")) appendFileSync(process.env.DEWY_LOADED, url + "\\n");
    return next(url, context);
  }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
