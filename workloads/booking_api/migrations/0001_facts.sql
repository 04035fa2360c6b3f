-- What the service looks up about a flight. The loading of the facts (facts.py) fills these tables.
CREATE TABLE airlines (
    carrier text PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE airports (
    faa text PRIMARY KEY,
    name text NOT NULL,
    tzone text -- a few small fields have none
);
CREATE TABLE routes (
    carrier text NOT NULL,
    origin text NOT NULL,
    dest text NOT NULL,
    distance integer NOT NULL, -- miles
    flights integer NOT NULL,
    PRIMARY KEY (carrier, origin, dest)
);
-- As it was observed at an airport, by the hour that began then.
CREATE TABLE weather (
    origin text NOT NULL,
    hour timestamptz NOT NULL,
    temp double precision,
    humid double precision,
    wind_speed double precision,
    precip double precision,
    visib double precision,
    pressure double precision,
    PRIMARY KEY (origin, hour)
);
-- What the weather usually is, for hours that nobody has observed yet: the mean by month and local hour of day.
CREATE TABLE climate (
    origin text NOT NULL,
    month integer NOT NULL,
    hour integer NOT NULL,
    temp double precision NOT NULL,
    humid double precision NOT NULL,
    wind_speed double precision NOT NULL,
    precip double precision NOT NULL,
    visib double precision NOT NULL,
    pressure double precision NOT NULL,
    PRIMARY KEY (origin, month, hour)
);
-- One row: what the facts were loaded from.
CREATE TABLE loaded (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    content_sha256 text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
