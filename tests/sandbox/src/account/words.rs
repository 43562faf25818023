//! The words that records are made of; many of them hard to quote on purpose.

pub const FIRST_NAMES: &[&str] = &[
    "Alice",
    "Zoë",
    "Łukasz",
    "李",
    "محمد",
    "Анна",
    "José \"Pepe\"",
    "Siobhán",
    "Jean\nPaul",
    "John",
    "Ngọc, Jr.",
    "Ada",
    "🦊 Fox",
    "",
    "Renée\tMarie",
    "D\\Angelo",
];

pub const LAST_NAMES: &[&str] = &[
    "Doe",
    "O'Brien",
    "Müller",
    "王",
    "Smith",
    "Ørsted",
    "de la Cruz",
    "Иванова",
    "Ahmed",
    "Nguyễn",
];

pub const AGENT_NAMES: &[&str] = &[
    "Jane Doe",
    "Matt Gibson",
    "Sarah Jones",
    "Bjørn Ærø",
    "Alice Adrian",
    "Nora \"Nick\" O'Hara",
    "Chloé, Team Lead",
    "Ken 田中",
];

pub const SENTENCES: &[&str] = &[
    "Hii! Need help in receiving the refund.",
    "Where is my order?\nIt should have come on Monday, at the latest.",
    "Danke schön, das hat geklappt 👍",
    "He said \"no\", then \"yes\"; what now?",
    "ご注文を確認しました。",
    "C:\\temp\\log.txt, line 3",
    "",
    "<b>bold</b> &amp; 100% sure, l'été",
    "👩‍👩‍👧‍👦 family plan\r\nfor 4, please",
    "Please click the link below to continue.",
];

pub const GROUP_NAMES: &[&str] = &["Sales", "Support", "Automation", "Füße & Co", "Billing, EU"];

pub const CHANNEL_NAMES: &[&str] = &[
    "Billing Queries",
    "Services and promotions",
    "Inbox",
    "Größen \"XL\"",
    "Returns, refunds",
    "WhatsApp 📱",
];

pub const STATUS_NAMES: &[&str] = &[
    "BRB",
    "In a meeting",
    "Testing ",
    "Tea break ☕",
    "Vacation",
];

pub const LABELS: &[(&str, &str)] = &[
    ("Refund", "Late, but paid"),
    ("Question", "Opening hours"),
    ("Bug \"critical\"", "Login\nloop"),
    ("Spam", ""),
];
