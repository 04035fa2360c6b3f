-- From the staged source tables (named as in the source, temporary) to what the service looks up.
DELETE FROM airlines;
INSERT INTO airlines SELECT carrier, name FROM source_airlines;

DELETE FROM airports;
INSERT INTO airports SELECT faa, name, tzone FROM source_airports;

-- Two routes are given with two distances, a mile apart.
DELETE FROM routes;
INSERT INTO routes
SELECT carrier, origin, dest, mode() WITHIN GROUP (ORDER BY distance), count(*)
FROM source_flights GROUP BY carrier, origin, dest;

DELETE FROM weather;
INSERT INTO weather
SELECT origin, time_hour, temp, humid, wind_speed, precip, visib, pressure FROM source_weather;

DELETE FROM climate;
INSERT INTO climate
SELECT origin, month, hour, avg(temp), avg(humid), avg(wind_speed), avg(precip), avg(visib), avg(pressure)
FROM source_weather GROUP BY origin, month, hour;
