/** Checks the value of an `Authorization: Bearer <token>` header in constant time. */
export function bearerCheck(token: string): (authorization: string | null) => Promise<boolean> {
  const expected = sha256(token);
  return async (authorization) => {
    const [, given] = /^bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
    return given !== undefined && isEqual(await sha256(given), await expected);
  };
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [at, byte] of a.entries()) difference |= byte ^ (b[at] ?? 0);
  return difference === 0;
}
