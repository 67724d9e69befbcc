/**
 * Schemes whose URLs are read and checked, but which this version cannot ask yet. A driver of the same
 * name in the table takes the place of its line here.
 *
 * @module
 */
import type { RegistryScheme } from "./driver.ts";
import { IMG_OPTIONS, IMG_SYNTAX, type OciLocator, parseImgUrl } from "./img_locator.ts";

/** `img://`, read but not asked. */
export const img: RegistryScheme<OciLocator> = {
  scheme: "img",
  name: "OCI Registry",
  syntax: IMG_SYNTAX,
  example: "img://ghcr.io/myorg/myapp",
  commands: ["container"],
  options: IMG_OPTIONS,
  environment: [],
  parse: parseImgUrl,
};
