const PORTS = 10;

/** The ports to try: each dewy on a machine takes the first free one. */
export function adminPorts(first: number): readonly number[] {
  return Array.from({ length: PORTS }, (_, index) => first + index).filter((one) => one <= 65_535);
}
