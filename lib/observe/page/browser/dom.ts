/** Texts come from clients and sinks: they go into the page by `textContent` only. */
export function setText(element: Element, text: string): void {
  // what is selected stays selected
  if (element.textContent !== text) element.textContent = text;
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no #${id}`);
  return element;
}

export function within(parent: Element, selector: string): HTMLElement {
  const element = parent.querySelector<HTMLElement>(selector);
  if (element === null) throw new Error(`There is no ${selector}`);
  return element;
}

export function create(tag: string, className: string = '', text: string = ''): HTMLElement {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.textContent = text;
  return element;
}

/** Adds or removes children until there is one for each item, and shows the items. What does not change is not touched. */
export function fill<T>(
  parent: Element,
  items: readonly T[],
  make: () => HTMLElement,
  show: (child: HTMLElement, item: T) => void,
): void {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  for (const [index, item] of items.entries()) {
    let child = parent.children[index] as HTMLElement | undefined;
    if (child === undefined) {
      child = make();
      parent.append(child);
    }
    show(child, item);
  }
}
